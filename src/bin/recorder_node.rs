//! The recorder node in a process of its own: `recorder_node --ros-args -r … -p … --params-file …`.

fn main() -> anyhow::Result<()> {
    node_kit::main::<recorder::Recorder>(std::env::args())
}
