"""What drawing on from bits does to pictures: edits, branches, extensions, repairs, word maps, time."""
