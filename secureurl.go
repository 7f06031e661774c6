package peregrine

import (
	"net/url"
	"strconv"
	"strings"
)

// split takes what a transport's URL says of how connections are sealed, and returns the
// rest, which is the backend's.
func (s *secrecy) split(text string, o *options) string {
	rest, query, has := strings.Cut(text, "?")
	if !has {
		return text
	}
	into := map[string]*string{
		"tls_cert": &s.files.Cert, "tls_key": &s.files.Key, "tls_ca": &s.files.CA, "tls_name": &s.files.Name,
		"tls_key_log": &s.files.KeyLog, "psk": &s.keyFile,
	}
	var others []string
	for pair := range strings.SplitSeq(query, "&") {
		key, raw, _ := strings.Cut(pair, "=")
		to, ours := into[key]
		if !ours && key != "tls_mutual" {
			others = append(others, pair)
			continue
		}
		value, err := url.QueryUnescape(raw)
		if err != nil || value == "" {
			o.refuse(key, "%q is no value: leave the key out", raw)
			continue
		}
		if ours {
			*to = value
		} else if s.files.Mutual, err = strconv.ParseBool(value); err != nil {
			o.refuse(key, "%q is not a truth value: write true or false", value)
		}
	}
	if len(others) > 0 {
		rest += "?" + strings.Join(others, "&")
	}
	return rest
}
