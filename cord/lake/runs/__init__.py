"""What the lake keeps of a run while it goes on, and who carries it out."""
