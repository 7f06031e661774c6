// Package side is what the server and client programs of a comparison have in
// common: how a server says that it is ready and learns that it is not needed
// any more, what a process has used, how a load is measured, and how a client hands in
// its result.
package side
