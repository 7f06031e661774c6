package cc

// Sharing says whether an auto is cubic at present.
func Sharing(c Controller) bool { return c.(*auto).sharing }
