"""Named sets of windows: tiling, genic, transcript, CDS, promoter, background."""
