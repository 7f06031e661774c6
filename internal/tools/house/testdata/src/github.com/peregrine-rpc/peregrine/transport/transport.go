package transport

import _ "golang.org/x/sys/unix" // want `transport may not import golang.org/x/sys/unix`
