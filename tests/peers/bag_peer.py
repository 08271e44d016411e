"""Reads our bags and writes bags for us with PyPI rosbags and mcap-ros2-support, which share no code with us.

    bag_peer.py verify BAG            iterates every message with both libraries, compares them, prints JSON
    bag_peer.py write DIR FORMAT MODE writes the bag that crates/bag/tests/peers.rs expects; FORMAT mcap or sqlite3,
                                      MODE none, storage (mcap: zstd chunks), file or message (sqlite3: zstd)
"""

import json
import sys
from pathlib import Path

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

START_NS = 1_700_000_000_000_000_000
FRAMES = 5
MODES = {
    "none": CompressionMode.NONE,
    "storage": CompressionMode.STORAGE,
    "file": CompressionMode.FILE,
    "message": CompressionMode.MESSAGE,
}


def typestore_of(reader):
    """The Jazzy types, and those that the bag itself defines."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for connection in reader.connections:
        if connection.msgtype not in store.types:
            types = get_types_from_msg(connection.msgdef.data, connection.msgtype)
            store.register({name: fields for name, fields in types.items() if name not in store.types})
    return store


def read_with_rosbags(bag):
    """Counts per topic and every image as an array, in the order of the bag."""
    counts, images = {}, []
    with Reader(bag) as reader:
        store = typestore_of(reader)
        for connection in reader.connections:
            known = store.hash_rihs01(connection.msgtype)
            assert connection.digest in ("", known), f"{connection.topic}: {connection.digest} is not {known}"
            assert connection.ext.offered_qos_profiles, f"{connection.topic}: no QoS"
        expected = {c.topic: c.msgcount for c in reader.connections}
        for connection, time_ns, data in reader.messages():
            message = store.deserialize_cdr(data, connection.msgtype)
            counts[connection.topic] = counts.get(connection.topic, 0) + 1
            if connection.msgtype == "sensor_msgs/msg/Image":
                images.append((connection.topic, time_ns, message.encoding, np.asarray(message.data)))
    listed = {topic: n for topic, n in expected.items() if n}
    assert counts == listed, f"metadata promises {listed}, the messages are {counts}"
    return counts, images


def read_with_mcap(bag):
    """The same through mcap-ros2-support."""
    from mcap_ros2.reader import read_ros2_messages

    counts, images = {}, []
    for file in sorted(Path(bag).glob("*.mcap")):
        for message in read_ros2_messages(str(file)):
            topic = message.channel.topic
            counts[topic] = counts.get(topic, 0) + 1
            if message.schema.name == "sensor_msgs/msg/Image":
                data = np.frombuffer(bytes(message.ros_msg.data), dtype=np.uint8)
                images.append((topic, message.log_time_ns, message.ros_msg.encoding, data))
    return counts, images


def verify(bag):
    counts, images = read_with_rosbags(bag)
    other_counts, other_images = read_with_mcap(bag)
    assert counts == other_counts, f"rosbags reads {counts}, mcap-ros2-support {other_counts}"
    by_place = lambda image: (image[1], image[0])  # noqa: E731
    for one, two in zip(sorted(images, key=by_place), sorted(other_images, key=by_place), strict=True):
        assert one[:3] == two[:3], f"{one[:3]} is not {two[:3]}"
        assert np.array_equal(one[3], two[3]), f"pixels of {one[0]} at {one[1]} differ"
    sums = [[topic, time_ns, encoding, int(data.astype(np.uint64).sum())] for topic, time_ns, encoding, data in images]
    print(json.dumps({"counts": counts, "images": sums}))


def qos(reliability, durability, depth):
    forever = QosTime(9_223_372_036, 854_775_807)
    return Qos(
        QosHistory.KEEP_LAST, depth, reliability, durability, forever, forever, QosLiveliness.AUTOMATIC, forever, False
    )


def write(path, fmt, mode):
    store = get_typestore(Stores.ROS2_JAZZY)
    time, head = store.types["builtin_interfaces/msg/Time"], store.types["std_msgs/msg/Header"]
    image, text = store.types["sensor_msgs/msg/Image"], store.types["std_msgs/msg/String"]
    plugin = StoragePlugin.MCAP if fmt == "mcap" else StoragePlugin.SQLITE3
    writer = Writer(path, version=9, storage_plugin=plugin)
    writer.set_compression(MODES[mode], CompressionFormat.ZSTD)
    writer.set_custom_data("written_by", "rosbags")
    with writer:
        sensor = qos(QosReliability.BEST_EFFORT, QosDurability.VOLATILE, 5)
        latched = qos(QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, 1)
        images = writer.add_connection(
            "/camera/color/image_raw", image.__msgtype__, typestore=store, offered_qos_profiles=[sensor]
        )
        texts = writer.add_connection(
            "/robot_description", text.__msgtype__, typestore=store, offered_qos_profiles=[latched]
        )
        writer.write(texts, START_NS - 1, store.serialize_cdr(text(data="<robot/>"), text.__msgtype__))
        for n in range(FRAMES):
            t = START_NS + n * 100_000_000
            rows, columns = np.mgrid[0:48, 0:64]
            pixels = np.stack([columns, rows, np.full_like(rows, n)], axis=-1).astype(np.uint8)
            header = head(stamp=time(sec=t // 10**9, nanosec=t % 10**9), frame_id="camera_color_optical_frame")
            message = image(
                header=header, height=48, width=64, encoding="rgb8", is_bigendian=0, step=192, data=pixels.reshape(-1)
            )
            writer.write(images, t, store.serialize_cdr(message, image.__msgtype__))


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"verify": verify, "write": write}[command](*arguments)
