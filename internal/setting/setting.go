// Package setting has the one error for settings that cannot be used, whoever
// they are of: transport, cc and core share it, and name it ConfigError.
package setting

import "fmt"

// Error says which setting cannot be used, and what to write instead.
type Error struct {
	// Driver is the backend, or the congestion controller, whose key it is. Empty
	// for keys of the engine and of endpoints.
	Driver string
	// Key is the key as it is written in files and URLs, also where an option set it.
	Key string
	// Problem says what is wrong and what to do.
	Problem string
}

// Error names the driver, the key and the problem.
func (e *Error) Error() string {
	if e.Driver == "" {
		return fmt.Sprintf("key %q: %s", e.Key, e.Problem)
	}
	return fmt.Sprintf("%s: key %q: %s", e.Driver, e.Key, e.Problem)
}
