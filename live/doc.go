// Package live shows in a browser what an endpoint does now.
//
//	http.Handle("/debug/peregrine/", http.StripPrefix("/debug/peregrine", live.New(live.Options{
//		Source: metrics.Source{Endpoint: endpoint},
//	})))
//
// Nothing is measured while nobody looks. Methods and latencies want an endpoint
// with peregrine.WithMetrics, slow calls and events one with
// peregrine.WithFlightRecorder.
//
// Without a token the page is for this host, which comes from a loopback address and
// names one, and for clients whose certificate the HTTP server has verified. A proxy on this host comes from there, too: give
// a token where there is one.
package live
