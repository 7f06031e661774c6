// Package flight makes files and sentences of what an endpoint has recorded with
// peregrine.WithFlightRecorder: why was this call slow, why did it fail.
//
//	endpoint, err := peregrine.Listen(url, flight.Keep("/var/log/peregrine"))
//
// keeps a recording in that folder of each failure, a minute apart at least.
// [Take] has one at any time, and [OnFailure] in a test that fails. "peregrine
// explain" tells what is in them.
package flight
