"""One paced request to a far end over the village's link, and when to ask it again."""
