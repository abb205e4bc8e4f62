"""The ways out of the village: modems and other links, in their order of preference."""
