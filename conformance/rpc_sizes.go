package conformance

import (
	"fmt"

	"github.com/peregrine-rpc/peregrine/core"
)

// largestDatagram lets the engine use all that the backend carries.
const largestDatagram = 65507

// overhead is more than what the headers of a datagram of one message take.
const overhead = 80

// edgeStory: messages of every length arrive.
func edgeStory(tell tell) {
	tell("MessagesAroundTheEdgesOfDatagramsArrive", func(s *stage) {
		service := s.serve(Far, setup{Config: core.Config{MaxDatagram: largestDatagram}})
		client := s.start(Near, setup{Config: core.Config{MaxDatagram: largestDatagram}})
		session := client.connect(service.addr())
		mtu := 0
		for _, n := range []int{0, 1, 2, 7, 8, 100} {
			client.echoes(session, n)
		}
		most := min(client.tr.Caps().MaxPayload, service.tr.Caps().MaxPayload)
		s.eventually(func() bool {
			client.do(func() { mtu = session.MTU() })
			return mtu == most
		}, func() string { return fmt.Sprintf("it has probed %d bytes of %d", mtu, most) },
			"the engine used all of Caps().MaxPayload")
		// The last bytes of the first datagrams, one by one, wherever it cuts.
		for datagrams := 1; datagrams <= 3; datagrams++ {
			for n := datagrams * (mtu - overhead); n <= datagrams*mtu+1; n++ {
				client.echoes(session, n)
			}
		}
		client.idle()
		service.idle()
		if stats := client.stats(); stats.Transport.TxTooLarge > 0 {
			s.Errorf("%d datagrams within Caps().MaxPayload were refused for their size", stats.Transport.TxTooLarge)
		}
	})
}

// longStory: so do those of many datagrams, up to the limit.
func longStory(tell tell) {
	tell("LongMessagesArrive", func(s *stage) {
		service := s.serve(Far, setup{})
		client := s.start(Near, setup{})
		session := client.connect(service.addr())
		for _, n := range []int{64 << 10, 1 << 20, longestMessage} {
			client.echoes(session, n)
		}
		client.orders(session, service, longestMessage, 0)
		client.orders(session, service, orderSize, longestMessage)
		if err := client.tryEcho(session, longestMessage+1); err == nil {
			s.Errorf("a message longer than max_message arrived")
		}
		client.idle()
		service.idle()
	})
}

// orders has the service work on one order.
func (h *host) orders(session *core.Session, service *service, request, reply int) {
	h.s.Helper()
	number := books.Add(1)
	service.do(func() { service.books[number] = make(book, 1) })
	o := order{id: uint64(number) << 32, reply: uint32(reply)}
	b := make([]byte, request)
	o.put(b)
	response, err := h.submit(session, core.Call{Method: work, Request: b}).wait()
	if err != nil {
		h.s.Fatalf("request of %d bytes for %d: %v", request, reply, err)
	}
	if len(response) != reply || !filled(response, ^o.id) {
		h.s.Fatalf("a reply of %d bytes came as %d others", reply, len(response))
	}
}
