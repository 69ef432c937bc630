"""A scene between its file and the network: bands that count, components, patches."""
