"""An independent DDS peer for the transport tests: Eclipse Cyclone DDS through its own Python binding.

    dds_peer.py --domain N [--send TOPIC TYPE JSON]... [--receive TOPIC TYPE COUNT]... [--timeout S]

Topics are ROS names (`/chatter`), types `std_msgs/String` or `intact_msgs/ItemArrival`. Waits until every topic that it
sends or receives is matched (so that whoever hears it may speak: volatile topics do not repeat what came before), sends each message once, then waits for the messages to receive and prints each as one JSON line
`{"topic", "message"}`. Exit code 0 when all came, 3 when time ran out. Loopback only.
"""

import argparse
import dataclasses
import json
import sys
import time

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration
from dds_types import ItemArrival, String

TYPES = {"std_msgs/String": String, "intact_msgs/ItemArrival": ItemArrival}
QOS = Qos(Policy.Reliability.Reliable(duration(seconds=1)), Policy.Durability.Volatile, Policy.History.KeepLast(100))


def from_json(kind, values):
    """A message from a JSON object; what is missing keeps its default."""
    message = kind()
    for name, value in values.items():
        old = getattr(message, name)
        setattr(message, name, from_json(type(old), value) if dataclasses.is_dataclass(old) else value)
    return message


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domain", type=int, required=True)
    parser.add_argument("--send", nargs=3, action="append", default=[], metavar=("TOPIC", "TYPE", "JSON"))
    parser.add_argument("--receive", nargs=3, action="append", default=[], metavar=("TOPIC", "TYPE", "COUNT"))
    parser.add_argument("--timeout", type=float, default=20.0)
    return parser.parse_args()


def main():
    args = arguments()
    deadline = time.monotonic() + args.timeout
    participant = DomainParticipant(args.domain)
    readers = [
        (topic, int(count), DataReader(participant, Topic(participant, "rt" + topic, TYPES[kind]), qos=QOS))
        for topic, kind, count in args.receive
    ]
    writers, messages = {}, []
    for topic, kind, text in args.send:
        if topic not in writers:
            writers[topic] = DataWriter(participant, Topic(participant, "rt" + topic, TYPES[kind]), qos=QOS)
        messages.append((writers[topic], from_json(TYPES[kind], json.loads(text))))
    def unmatched():
        return any(not w.get_matched_subscriptions() for w in writers.values()) or any(not r.get_matched_publications() for _, _, r in readers)

    while unmatched():
        if time.monotonic() > deadline:
            sys.exit(3)
        time.sleep(0.01)
    for writer, message in messages:
        writer.write(message)
    missing = {topic: count for topic, count, _ in readers}
    while any(count > 0 for count in missing.values()):
        if time.monotonic() > deadline:
            sys.exit(3)
        for topic, _, reader in readers:
            for message in reader.take(N=100):
                if dataclasses.is_dataclass(message):
                    missing[topic] -= 1
                    print(json.dumps({"topic": topic, "message": dataclasses.asdict(message)}), flush=True)
        time.sleep(0.01)
    for writer in writers.values():
        writer.wait_for_acks(duration(seconds=2))


main()
