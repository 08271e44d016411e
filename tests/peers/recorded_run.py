"""Reads a recorded run with independent readers and prints what they saw as JSON.

    recorded_run.py ORIGINAL_BAG RECORDED_BAG RUN.rrd

`rosbags` iterates both bags and compares pictures of equal stamp, `mcap-ros2-support` decodes the recorded file, and
`rerun` lists the entities of the recording.
"""

import json
import sys
from pathlib import Path

import numpy as np
import rerun.experimental
from mcap_ros2.reader import read_ros2_messages
from rosbags.highlevel import AnyReader

COLOR = "/camera/color/image_raw"


def pictures(reader):
    connections = [c for c in reader.connections if c.topic == COLOR]
    for connection, _, raw in reader.messages(connections=connections):
        message = reader.deserialize(raw, connection.msgtype)
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        yield stamp, np.array(message.data).reshape(message.height, message.width, 3)


def main():
    original, recorded, rrd = map(Path, sys.argv[1:])
    with AnyReader([original]) as reader:
        before = dict(pictures(reader))
    with AnyReader([recorded]) as reader:
        compared = differ = 0
        for stamp, picture in pictures(reader):
            compared += 1
            differ += stamp not in before or not np.array_equal(before[stamp], picture)
        decisions = sum(1 for c, _, raw in reader.messages() if c.topic == "/decision" and reader.deserialize(raw, c.msgtype).item_id)
    mcap = next(recorded.glob("*.mcap"))
    by_mcap = sum(1 for m in read_ros2_messages(mcap, topics=["/decision"]) if m.ros_msg.item_id)
    assert by_mcap == decisions, f"mcap-ros2-support saw {by_mcap} decisions, rosbags {decisions}"
    reader = rerun.experimental.RrdReader(rrd)
    entities = sorted({str(chunk.entity_path) for chunk in reader.stream()})
    print(json.dumps({"decisions": decisions, "pictures_compared": compared, "pictures_differ": differ, "rrd_entities": entities}))


main()
