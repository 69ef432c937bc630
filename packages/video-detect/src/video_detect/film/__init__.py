"""The film: its windows, what is found in them, who is who, and the film with boxes drawn in."""
