//! The robot node in a process of its own: `robot_node --ros-args -r … -p … --params-file …`.

fn main() -> anyhow::Result<()> {
    node_kit::main::<robot::Robot>(std::env::args())
}
