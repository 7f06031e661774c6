package cc

// DefaultName is the controller that endpoints use unless told otherwise;
// docs/congestion.md says why.
const DefaultName = "swift"

// Default is the factory of DefaultName with its default parameters.
func Default() Factory { return newSwift(defaultSwift()) }
