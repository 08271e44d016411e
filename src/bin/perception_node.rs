//! The perception node in a process of its own: `perception_node --ros-args -r … -p … --params-file …`.

fn main() -> anyhow::Result<()> {
    node_kit::main::<perception::Perception>(std::env::args())
}
