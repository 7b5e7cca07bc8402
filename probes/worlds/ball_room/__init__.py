"""A small room with a ball, a box, a light and a shadow: pictures whose eight factors cause each other."""
