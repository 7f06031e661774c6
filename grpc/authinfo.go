package pgrpc

import (
	"context"
	"crypto/tls"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/peregrine-rpc/peregrine"
)

// What grpc is told of how the engine seals connections: credentials.TLSInfo of those
// with TLS, pskInfo of those with a pre-shared key, and of plain ones what package
// insecure says.

// pskInfo is the AuthInfo of a connection with a pre-shared key.
type pskInfo struct{ credentials.CommonAuthInfo }

func (pskInfo) AuthType() string { return "psk" }

var sealedInfo = credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}

var plainInfo = func() credentials.AuthInfo {
	_, info, _ := insecure.NewCredentials().ClientHandshake(context.Background(), "", nil)
	return info
}()

// authInfo is that of a connection of an endpoint. An endpoint with TLS has no state of
// it to tell while it is not connected.
func authInfo(e *peregrine.Endpoint, state *tls.ConnectionState) credentials.AuthInfo {
	switch {
	case state != nil:
		return credentials.TLSInfo{State: *state, CommonAuthInfo: sealedInfo}
	case e.Security() == "pre-shared key":
		return pskInfo{sealedInfo}
	case e.Security() != "":
		return credentials.TLSInfo{CommonAuthInfo: sealedInfo}
	}
	return plainInfo
}

// sealed says that all the session ever sends is: its endpoint has no other connections.
func (cc *ClientConn) sealed() bool { return cc.session.Endpoint().Security() != "" }

func (cc *ClientConn) authInfo() credentials.AuthInfo {
	if !cc.sealed() { // TLS asks the loop
		return plainInfo
	}
	return authInfo(cc.session.Endpoint(), cc.session.TLS())
}
