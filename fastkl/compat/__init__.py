"""Stand-ins for functions of other libraries, with those libraries' signatures and rules."""
