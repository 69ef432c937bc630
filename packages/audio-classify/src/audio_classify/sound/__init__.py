"""Sound on its way to the network and back: windows, features, events, and what is drawn of it."""
