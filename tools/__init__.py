"""What makes and keeps this repository: patches, generated pages, the matrix of releases. Nothing here is installed."""
