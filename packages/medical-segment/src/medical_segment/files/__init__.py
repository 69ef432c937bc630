"""Cases as they come and as they are kept: scans, series, images, and the folders of data sets."""
