package peregrine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// says replies its text.
func says(text string) peregrine.Handler {
	return func(r peregrine.Request) { r.Reply([]byte(text)) }
}

func TestMethodsAreCalledByName(t *testing.T) {
	t.Parallel()
	server := serve(t)
	require.NoError(t, server.HandleName("shop.Cart/Add", says("added")))
	require.NoError(t, server.HandleName("shop.Cart/Clear", says("cleared")))
	session := connect(t, server)
	add, empty := session.Method("shop.Cart/Add"), session.Method("shop.Cart/Clear")
	for range 3 {
		reply, err := add.Call(t.Context(), nil, nil)
		require.NoError(t, err)
		require.Equal(t, "added", string(reply))
		reply, err = empty.Call(t.Context(), nil, nil)
		require.NoError(t, err)
		require.Equal(t, "cleared", string(reply))
	}
	require.Equal(t, "shop.Cart/Add", add.String())
	require.Equal(t, session, add.Session())
	require.Equal(t, "shop.Cart/Add", session.Endpoint().MethodName(add.Number()), "metrics show names at the client, too")
	handled := uint64(2 + 6)
	require.Eventually(t, func() bool { return server.Stats().RequestsHandled == handled }, time.Minute, time.Millisecond,
		"each name is asked for once")
}

func TestANameHasOneNumberAsLongAsItsEndpointLives(t *testing.T) {
	t.Parallel()
	server := serve(t)
	require.NoError(t, server.Handle(65534, says("by number")))
	numbers := make(chan string, 1)
	told := func(r peregrine.Request) {
		numbers <- fmt.Sprint(r.Method(), r.Name())
		r.Reply(nil)
	}
	require.NoError(t, server.HandleName("a", told))
	session := connect(t, server)
	_, err := session.Method("a").Call(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, "65533a", <-numbers, "the highest that is free")
	require.Equal(t, "a", server.MethodName(65533))
	require.Empty(t, server.MethodName(1))

	var wrong *peregrine.ConfigError
	require.ErrorAs(t, server.Handle(65533, says("another")), &wrong, "that would answer for the name")
	require.ErrorAs(t, server.Handle(65535, says("another")), &wrong, "names are asked for there")
	require.ErrorAs(t, server.HandleName("", told), &wrong)

	require.ErrorAs(t, server.HandleName("c", told, peregrine.Go(0)), &wrong, "and no number is lost by that")
	require.ErrorAs(t, server.Handle(65532, told, peregrine.Go(0)), &wrong, "nor by that")

	require.NoError(t, server.HandleName("a", nil))
	_, err = session.Method("a").Call(t.Context(), nil, nil)
	require.Equal(t, peregrine.Unimplemented, peregrine.CodeOf(err))
	require.NoError(t, server.HandleName("b", told))
	require.NoError(t, server.HandleName("a", told))
	_, err = session.Method("b").Call(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, "65532b", <-numbers, "not the number of a, whoever knows that")
	_, err = session.Method("a").Call(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, "65533a", <-numbers)
}

// Names are finite, and one that was never there needs none to be removed.
func TestRemovingWhatIsNotThereTakesNoNumber(t *testing.T) {
	t.Parallel()
	server := serve(t)
	for i := range 1 << 16 {
		name := fmt.Sprint("no.Such/Method", i)
		require.NoError(t, server.HandleName(name, nil))
		require.NoError(t, server.HandleStreamName(name, nil))
	}
	require.NoError(t, server.HandleName("shop.Cart/Add", says("added")))
	reply, err := connect(t, server).Method("shop.Cart/Add").Call(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, "added", string(reply))
}

func TestANameThatIsNotThereIsUnimplemented(t *testing.T) {
	t.Parallel()
	server := serve(t)
	session := connect(t, server)
	missing := session.Method("shop.Cart/Fly")
	for range 2 {
		_, err := missing.Call(t.Context(), []byte("x"), nil)
		var failure *peregrine.Error
		require.ErrorAs(t, err, &failure)
		require.Equal(t, peregrine.Error{Code: peregrine.Unimplemented, Message: "no such method: shop.Cart/Fly"}, *failure)
		_, err = missing.Stream(t.Context(), nil)
		require.Equal(t, peregrine.Unimplemented, peregrine.CodeOf(err))
	}
	require.NoError(t, server.HandleName("shop.Cart/Fly", says("flown")))
	reply, err := missing.Call(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, "flown", string(reply))
}

// A name that does not fit one packet is a name.
func TestALongNameIsFound(t *testing.T) {
	t.Parallel()
	server := serve(t)
	session := connect(t, server)
	for _, length := range []int{1, 1400, 20_000, 200_000} {
		name := strings.Repeat("n", length)
		require.NoError(t, server.HandleName(name, says(fmt.Sprint(length))))
		reply, err := session.Method(name).Call(t.Context(), nil, nil)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(length), string(reply))
		_, err = session.Method(name+"n").Call(t.Context(), nil, nil)
		require.Equal(t, peregrine.Unimplemented, peregrine.CodeOf(err))
		_, err = session.Method(strings.Repeat("m", length)).Call(t.Context(), nil, nil)
		require.Equal(t, peregrine.Unimplemented, peregrine.CodeOf(err))
	}
}

// A server that is started again may number its methods otherwise. What a client knows
// of the former is not said to it.
func TestAServerThatNumbersOtherwiseNeverRunsAnotherMethod(t *testing.T) {
	t.Parallel()
	names := []string{"m0", "m1", "m2", "m3"}
	start := func(url string, generation int) *peregrine.Endpoint {
		server, err := peregrine.Listen(url)
		require.NoError(t, err)
		for i := range names {
			name := names[(i+generation)%len(names)]
			require.NoError(t, server.HandleName(name, says(name)))
			require.NoError(t, server.HandleStreamName(name, func(st *peregrine.Stream) error { return st.Send([]byte(name)) }))
		}
		return server
	}
	server := start("udp://127.0.0.1:0", 0)
	addr := server.Addr().String()
	session, err := peregrine.Dial(t.Context(), addr, peregrine.WithWaitForReady())
	require.NoError(t, err)
	defer session.Close()
	methods := make([]peregrine.Method, len(names))
	for i, name := range names {
		methods[i] = session.Method(name)
	}
	for generation := 1; generation <= 4; generation++ {
		for i, name := range names {
			reply, err := methods[i].Call(t.Context(), nil, nil)
			if err == nil {
				require.Equal(t, name, string(reply))
			} else {
				require.Equal(t, peregrine.Unavailable, peregrine.CodeOf(err), "what was under way when the server ended")
			}
			st, err := methods[i].Stream(t.Context(), nil)
			if err != nil {
				require.Equal(t, peregrine.Unavailable, peregrine.CodeOf(err))
				continue
			}
			got, err := st.Recv(nil)
			if err == nil {
				require.Equal(t, name, string(got))
				_, err = st.Recv(nil)
				require.ErrorIs(t, err, io.EOF)
			} else {
				require.Equal(t, peregrine.Unavailable, peregrine.CodeOf(err))
				st.Cancel()
			}
		}
		require.NoError(t, server.Close())
		server = start("udp://"+addr, generation)
	}
	require.NoError(t, server.Close())
}

func TestStreamsAreOpenedByName(t *testing.T) {
	t.Parallel()
	server := serve(t)
	require.NoError(t, server.HandleStreamName("echo", func(st *peregrine.Stream) error {
		if st.Name() != "echo" {
			return errors.New("called by another name")
		}
		for {
			message, err := st.Recv(nil)
			if err != nil {
				return nil
			}
			if err := st.Send(message); err != nil {
				return err
			}
		}
	}))
	session := connect(t, server)
	st, err := session.Method("echo").Stream(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, "echo", st.Name())
	require.NoError(t, st.Send([]byte("x")))
	require.NoError(t, st.CloseSend())
	got, err := st.Recv(nil)
	require.NoError(t, err)
	require.Equal(t, "x", string(got))
	_, err = st.Recv(nil)
	require.ErrorIs(t, err, io.EOF)
}

func TestInterceptorsSeeNames(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 2)
	server := serve(t, peregrine.WithHandlerInterceptor(func(next peregrine.Handler) peregrine.Handler {
		return func(r peregrine.Request) {
			seen <- "server " + r.Name()
			next(r)
		}
	}))
	require.NoError(t, server.HandleName("a", says("b")))
	session := connect(t, server, peregrine.WithCallInterceptor(func(next peregrine.CallFunc) peregrine.CallFunc {
		return func(ctx context.Context, m peregrine.Method, request, buf []byte) ([]byte, error) {
			seen <- "client " + m.Name()
			return next(ctx, m, request, buf)
		}
	}))
	_, err := session.Method("a").Call(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"client a", "server a"}, []string{<-seen, <-seen}, "and nothing of how the number is asked for")
}

func TestTheZeroMethodFails(t *testing.T) {
	t.Parallel()
	var m peregrine.Method
	_, err := m.Call(t.Context(), nil, nil)
	require.Equal(t, peregrine.FailedPrecondition, peregrine.CodeOf(err))
	_, err = m.Stream(t.Context(), nil)
	require.Equal(t, peregrine.FailedPrecondition, peregrine.CodeOf(err))
	require.Empty(t, m.Name())
}
