//! The gallery node in a process of its own: `gallery_node --ros-args -r … -p … --params-file …`.

fn main() -> anyhow::Result<()> {
    node_kit::main::<gallery::Gallery>(std::env::args())
}
