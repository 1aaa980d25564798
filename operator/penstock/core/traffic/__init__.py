"""What the mesh's objects must say, and what they say: manifests as values."""
