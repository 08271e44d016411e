"""An independent peer of the cell over DDS: sends one capture and its arrival, waits for the decision, prints it as JSON.

    cell_peer.py DOMAIN COLOR.png-as-raw DEPTH-as-raw WIDTH HEIGHT FX FY CX CY ITEM_ID TIMEOUT_S

COLOR is a file of rgb8 bytes, DEPTH a file of little-endian uint16 millimetres. Eclipse Cyclone DDS through its own
Python binding; nothing of intact is used. Loopback only.
"""

import json
import sys
import time
from dataclasses import dataclass, field

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import array, float32, float64, sequence, uint8, uint32
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration
from dds_types import Header, ItemArrival, Time


@dataclass
class Image(IdlStruct, typename="sensor_msgs::msg::dds_::Image_"):
    header: Header = field(default_factory=Header)
    height: uint32 = 0
    width: uint32 = 0
    encoding: str = ""
    is_bigendian: uint8 = 0
    step: uint32 = 0
    data: sequence[uint8] = field(default_factory=list)


@dataclass
class RegionOfInterest(IdlStruct, typename="sensor_msgs::msg::dds_::RegionOfInterest_"):
    x_offset: uint32 = 0
    y_offset: uint32 = 0
    height: uint32 = 0
    width: uint32 = 0
    do_rectify: bool = False


@dataclass
class CameraInfo(IdlStruct, typename="sensor_msgs::msg::dds_::CameraInfo_"):
    header: Header = field(default_factory=Header)
    height: uint32 = 0
    width: uint32 = 0
    distortion_model: str = ""
    d: sequence[float64] = field(default_factory=list)
    k: array[float64, 9] = field(default_factory=lambda: [0.0] * 9)
    r: array[float64, 9] = field(default_factory=lambda: [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0])
    p: array[float64, 12] = field(default_factory=lambda: [0.0] * 12)
    binning_x: uint32 = 0
    binning_y: uint32 = 0
    roi: RegionOfInterest = field(default_factory=RegionOfInterest)


@dataclass
class Point(IdlStruct, typename="geometry_msgs::msg::dds_::Point_"):
    x: float64 = 0.0
    y: float64 = 0.0
    z: float64 = 0.0


@dataclass
class Quaternion(IdlStruct, typename="geometry_msgs::msg::dds_::Quaternion_"):
    x: float64 = 0.0
    y: float64 = 0.0
    z: float64 = 0.0
    w: float64 = 1.0


@dataclass
class Pose(IdlStruct, typename="geometry_msgs::msg::dds_::Pose_"):
    position: Point = field(default_factory=Point)
    orientation: Quaternion = field(default_factory=Quaternion)


@dataclass
class PoseStamped(IdlStruct, typename="geometry_msgs::msg::dds_::PoseStamped_"):
    header: Header = field(default_factory=Header)
    pose: Pose = field(default_factory=Pose)


@dataclass
class StageTiming(IdlStruct, typename="intact_msgs::msg::dds_::StageTiming_"):
    stage: str = ""
    ms: float32 = 0.0


@dataclass
class Decision(IdlStruct, typename="intact_msgs::msg::dds_::Decision_"):
    header: Header = field(default_factory=Header)
    item_id: str = ""
    disposition: uint8 = 0
    lane: str = ""
    reasons: sequence[str] = field(default_factory=list)
    damage_score: float32 = 0.0
    damage_rejudged: float32 = 0.0
    damage_threshold: float32 = 0.0
    anomaly_score: float32 = 0.0
    anomaly_threshold: float32 = 0.0
    product: str = ""
    model: str = ""
    comparison_model: str = ""
    gallery_version: str = ""
    latency_ms: float32 = 0.0
    deadline_expired: bool = False
    pick_pose: PoseStamped = field(default_factory=PoseStamped)
    pick_pose_valid: bool = False
    timings: sequence[StageTiming] = field(default_factory=list)


def main() -> int:
    domain, color, depth, width, height, fx, fy, cx, cy, item_id, timeout_s = sys.argv[1:]
    width, height = int(width), int(height)
    fx, fy, cx, cy = map(float, (fx, fy, cx, cy))
    with open(color, "rb") as file:
        color = list(file.read())
    with open(depth, "rb") as file:
        depth = list(file.read())

    participant = DomainParticipant(int(domain))
    reliable = Qos(Policy.Reliability.Reliable(duration(seconds=10)), Policy.Durability.Volatile, Policy.History.KeepLast(100))
    sensor = Qos(Policy.Reliability.BestEffort, Policy.Durability.Volatile, Policy.History.KeepLast(5))

    def writer(name, kind, qos):
        return DataWriter(participant, Topic(participant, name, kind, qos=qos), qos=qos)

    colors = writer("rt/camera/color/image_raw", Image, sensor)
    depths = writer("rt/camera/aligned_depth_to_color/image_raw", Image, sensor)
    infos = writer("rt/camera/color/camera_info", CameraInfo, sensor)
    arrivals = writer("rt/item_arrival", ItemArrival, reliable)
    decisions = DataReader(participant, Topic(participant, "rt/decision", Decision, qos=reliable), qos=reliable)

    deadline = time.time() + float(timeout_s)
    matched = lambda: all(w.get_publication_matched_status().current_count > 0 for w in (colors, depths, infos, arrivals))  # noqa: E731
    while not matched() or decisions.get_subscription_matched_status().current_count == 0:
        if time.time() > deadline:
            print("no cell found on the domain", file=sys.stderr)
            return 1
        time.sleep(0.05)

    def header(stamp_ns):
        return Header(Time(stamp_ns // 10**9, stamp_ns % 10**9), "camera_color_optical_frame")

    start = time.time_ns()
    arrivals.write(ItemArrival(header(start), item_id, "", [], False, "trigger"))
    # Best effort: the picture is repeated, as a camera would, until the decision comes.
    while time.time() < deadline:
        stamp = header(time.time_ns())
        colors.write(Image(stamp, height, width, "rgb8", 0, 3 * width, color))
        depths.write(Image(stamp, height, width, "16UC1", 0, 2 * width, depth))
        k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
        p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
        infos.write(CameraInfo(stamp, height, width, "plumb_bob", [0.0] * 5, k, p=p))
        for _ in range(10):
            for decision in decisions.take(N=10):
                if decision.item_id == item_id:
                    line = {"item_id": decision.item_id, "disposition": decision.disposition, "reasons": list(decision.reasons)}
                    line |= {"damage_score": decision.damage_score, "model": decision.model}
                    print(json.dumps(line))
                    return 0
            time.sleep(0.02)
    print("no decision came", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
