"""What the DDS peers share: Eclipse Cyclone DDS on loopback alone, and the types that both speak.

Import it before anything makes a participant: Cyclone reads its settings then. `cell_peer.py` and `dds_peer.py` use it.
"""

import os
from dataclasses import dataclass, field

os.environ["CYCLONEDDS_URI"] = (
    "<CycloneDDS><Domain><General><Interfaces><NetworkInterface name='lo'/></Interfaces>"
    "<AllowMulticast>true</AllowMulticast></General></Domain></CycloneDDS>"
)

from cyclonedds.idl import IdlStruct  # noqa: E402
from cyclonedds.idl.types import int32, sequence, uint32  # noqa: E402


@dataclass
class String(IdlStruct, typename="std_msgs::msg::dds_::String_"):
    data: str = ""


@dataclass
class Time(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
    sec: int32 = 0
    nanosec: uint32 = 0


@dataclass
class Header(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
    stamp: Time = field(default_factory=Time)
    frame_id: str = ""


@dataclass
class ItemArrival(IdlStruct, typename="intact_msgs::msg::dds_::ItemArrival_"):
    header: Header = field(default_factory=Header)
    item_id: str = ""
    barcode: str = ""
    candidate_products: sequence[str] = field(default_factory=list)
    clutter: bool = False
    source: str = ""
