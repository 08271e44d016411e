"""A few messages as PyPI `rosbags` serialises them: prints `type<TAB>hex` lines, little endian, header included."""

import numpy as np
from rosbags.typesys import Stores, get_typestore


def samples(t):
    stamp = t["builtin_interfaces/msg/Time"](sec=1_700_000_000, nanosec=987_654_321)
    header = t["std_msgs/msg/Header"](stamp=stamp, frame_id="camera_color_optical_frame")
    vector, quaternion = t["geometry_msgs/msg/Vector3"], t["geometry_msgs/msg/Quaternion"]
    yield header
    yield t["sensor_msgs/msg/Image"](
        header=header, height=2, width=3, encoding="rgb8", is_bigendian=0, step=9, data=np.arange(18, dtype=np.uint8)
    )
    yield t["sensor_msgs/msg/CameraInfo"](
        header=header, height=480, width=640, distortion_model="plumb_bob",
        d=np.array([0.1, -0.2, 0.0, 0.25, 0.5]), k=np.arange(9) + 0.5, r=np.eye(3).reshape(-1), p=np.arange(12) * -1.5,
        binning_x=1, binning_y=2,
        roi=t["sensor_msgs/msg/RegionOfInterest"](x_offset=1, y_offset=2, height=3, width=4, do_rectify=True),
    )
    transform = t["geometry_msgs/msg/Transform"](
        translation=vector(x=1.0, y=-2.0, z=0.5), rotation=quaternion(x=0.0, y=0.0, z=0.6, w=0.8)
    )
    stamped = t["geometry_msgs/msg/TransformStamped"](header=header, child_frame_id="tray", transform=transform)
    yield t["tf2_msgs/msg/TFMessage"](transforms=[stamped, stamped])
    yield t["sensor_msgs/msg/JointState"](
        header=header, name=["a", "bcd"], position=np.array([0.25, -1.0]), velocity=np.array([]), effort=np.array([3.0])
    )
    value = t["diagnostic_msgs/msg/KeyValue"](key="dropped", value="7")
    status = t["diagnostic_msgs/msg/DiagnosticStatus"](level=1, name="camera", message="", hardware_id="x", values=[value])
    yield t["diagnostic_msgs/msg/DiagnosticArray"](header=header, status=[status])
    yield t["std_msgs/msg/Empty"]()


def main() -> None:
    store = get_typestore(Stores.ROS2_JAZZY)
    for message in samples(store.types):
        print(f"{message.__msgtype__}\t{bytes(store.serialize_cdr(message, message.__msgtype__)).hex()}")


if __name__ == "__main__":
    main()
