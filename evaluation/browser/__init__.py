"""Tracks of the predictions, for the IGV browser on the desktop and in a web page."""
