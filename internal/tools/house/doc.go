// Package house holds the analyzers that keep the module's architecture: which folder may import which, what the
// protocol engine must not do, and where unsafe code may live. They are rules about this module alone; the general
// ones come from staticcheck.
package house
