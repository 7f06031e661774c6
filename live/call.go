package live

import (
	"encoding/json"

	"github.com/peregrine-rpc/peregrine"
)

// StateMethod is the name of the method that Register adds to an endpoint.
const StateMethod = "peregrine.live/State"

// mostAsking bounds the calls of StateMethod that are answered at a time.
const mostAsking = 4

// Register adds StateMethod to the endpoint, for who reaches that and not the page. It
// answers with a [State] as JSON: who has the token, which is the request; who has shown
// a certificate that was verified; and without a token, clients on this host.
func (h *Handler) Register() error {
	return h.options.Endpoint.HandleName(StateMethod, h.answer, peregrine.Go(mostAsking))
}

func (h *Handler) answer(r peregrine.Request) {
	if !h.known(r) {
		r.Fail(peregrine.Unauthenticated, "only this host, clients with a certificate, and who has the token are told what the server does")
		return
	}
	text, err := json.Marshal(h.now(r.Context()))
	if err != nil {
		r.Fail(peregrine.Internal, err.Error())
		return
	}
	r.Reply(text)
}

// known says whether a client may know.
func (h *Handler) known(r peregrine.Request) bool {
	switch state := r.TLS(); {
	case state != nil && len(state.VerifiedChains) > 0:
		return true
	case h.options.Token != "":
		return h.is(string(r.Data()))
	}
	return r.Peer().Addr().Unmap().IsLoopback()
}
