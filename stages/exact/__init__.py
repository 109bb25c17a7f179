"""What two answers certainly are to each other, by spelling and exact arithmetic; `certain.decide` is the way in."""
