//! The decision node in a process of its own: `decision_node --ros-args -r … -p … --params-file …`.

fn main() -> anyhow::Result<()> {
    node_kit::main::<decision::Decision>(std::env::args())
}
