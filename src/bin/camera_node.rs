//! The camera node in a process of its own: `camera_node --ros-args -r … -p … --params-file …`.

fn main() -> anyhow::Result<()> {
    node_kit::main::<camera::Camera>(std::env::args())
}
