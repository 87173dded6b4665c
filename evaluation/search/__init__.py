"""The page of a study: what a search over settings found."""
