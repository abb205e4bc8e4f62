"""Pages for people: accounts, languages, the rooms shown, and the technician's listener."""
