//! Corners 2 and 3: the HTTP interfaces, sealing, opening and the hand-over to Fachverfahren and Postfach.
