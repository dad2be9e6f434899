package main

import (
	"bytes"
	"net"
	"strings"
)

var (
	answerOK  = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!")
	answerBad = []byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
)

// What the beginning of a buffer is.
const (
	whole = iota
	part
	bad
)

// exchange answers the requests of one connection, as the Rust peers do: requests have no body, and the answer is always
// the same.
func exchange(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 4096)
	answers := make([]byte, 0, len(answerOK))
	filled := 0
	for {
		n, err := conn.Read(buffer[filled:])
		if err != nil {
			return
		}
		filled += n
		answers = answers[:0]
		done, goesOn := 0, true
		for goesOn {
			size, what, open := head(buffer[done:filled])
			if what == part && (done > 0 || filled < len(buffer)) {
				break
			}
			if what != whole {
				answers = append(answers, answerBad...)
				goesOn = false
				break
			}
			answers = append(answers, answerOK...)
			done += size
			goesOn = open
		}
		if len(answers) > 0 {
			if _, err := conn.Write(answers); err != nil {
				return
			}
		}
		if !goesOn {
			return
		}
		copy(buffer, buffer[done:filled])
		filled -= done
	}
}

// head reads one head: how long it is, and whether the connection stays open after its answer.
func head(text []byte) (size, what int, open bool) {
	line, rest, found := bytes.Cut(text, []byte("\r\n"))
	if !found {
		return 0, part, false
	}
	method, target, found := bytes.Cut(line, []byte(" "))
	target, version, second := bytes.Cut(target, []byte(" "))
	if !found || !second || !isToken(method) || len(target) == 0 || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		return 0, bad, false
	}
	open = string(version) == "HTTP/1.1"
	for {
		if line, rest, found = bytes.Cut(rest, []byte("\r\n")); !found {
			return 0, part, false
		}
		if len(line) == 0 {
			return len(text) - len(rest), whole, open
		}
		name, value, found := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case !found || !isToken(name):
			return 0, bad, false
		case bytes.EqualFold(name, []byte("connection")):
			open = !bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("transfer-encoding")),
			bytes.EqualFold(name, []byte("content-length")) && string(value) != "0":
			return 0, bad, false
		}
	}
}

// tokens has the bytes of methods and of names of headers.
var tokens = func() (tokens [256]bool) {
	for c := '!'; c <= '~'; c++ {
		tokens[c] = !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	}
	return
}()

// isToken says whether a text can be a method or the name of a header.
func isToken(text []byte) bool {
	for _, c := range text {
		if !tokens[c] {
			return false
		}
	}
	return len(text) > 0
}
