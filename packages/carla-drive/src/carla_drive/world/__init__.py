"""The embedded world: streets, traffic, people, weather and cameras, without a server or a GPU."""
