//! The viewer node in a process of its own: `viewer_node --ros-args -r … -p … --params-file …`.

fn main() -> anyhow::Result<()> {
    node_kit::main::<viewer::Viewer>(std::env::args())
}
