"""Everything that touches the world, one library a file; nothing else in the package does."""
