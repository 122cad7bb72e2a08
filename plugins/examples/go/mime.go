package main

import (
	"bytes"
	"mime"
	"strings"
)

// How deep parts may lie in parts.
const depthMax = 20

// part is a leaf of the message: its content is mail[start:end], still encoded.
type part struct {
	mediaType, charset, encoding string
	start, end                   int
}

// split finds the end of the header block of mail[start:end]; ok is false if there is no empty line.
func split(mail []byte, start, end int) (body int, ok bool) {
	for at := start; at < end; {
		length := bytes.IndexByte(mail[at:end], '\n') + 1
		if length == 0 {
			return end, false
		}
		if len(bytes.TrimRight(mail[at:at+length], "\r\n")) == 0 {
			return at + length, true
		}
		at += length
	}
	return end, false
}

// fields gives the unfolded values of all header fields of a name.
func fields(header []byte, name string) []string {
	var values []string
	ours := false
	for line := range bytes.Lines(header) {
		text := strings.TrimRight(string(line), "\r\n")
		if text != "" && (text[0] == ' ' || text[0] == '\t') {
			if ours {
				values[len(values)-1] += text
			}
			continue
		}
		key, value, found := strings.Cut(text, ":")
		if ours = found && strings.EqualFold(strings.TrimSpace(key), name); ours {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

func field(header []byte, name string) string {
	if values := fields(header, name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// texts lists the parts of mail[start:end] that a reader shows as text. None of what is signed or encrypted: an edit would
// break it.
func texts(mail []byte, start, end, depth int) []part {
	body, ok := split(mail, start, end)
	if !ok && depth == 0 {
		return nil
	}
	header := mail[start:body]
	mediaType, parameters, err := mime.ParseMediaType(field(header, "Content-Type"))
	if err != nil {
		mediaType = "text/plain"
		if field(header, "Content-Type") != "" {
			return nil
		}
	}
	disposition, _, _ := strings.Cut(field(header, "Content-Disposition"), ";")
	switch {
	case mediaType == "multipart/signed" || mediaType == "multipart/encrypted":
		return nil
	case strings.HasPrefix(mediaType, "multipart/") && depth < depthMax:
		var found []part
		for _, child := range children(mail, body, end, parameters["boundary"]) {
			found = append(found, texts(mail, child[0], child[1], depth+1)...)
		}
		return found
	case (mediaType == "text/plain" || mediaType == "text/html") && !strings.EqualFold(strings.TrimSpace(disposition), "attachment"):
		encoding := strings.ToLower(field(header, "Content-Transfer-Encoding"))
		return []part{{mediaType, strings.ToLower(parameters["charset"]), encoding, body, end}}
	}
	return nil
}

// children lists where the parts of a multipart lie, between lines of its boundary (RFC 2046, section 5.1.1).
func children(mail []byte, start, end int, boundary string) (found [][2]int) {
	if boundary == "" {
		return nil
	}
	open := -1
	for at := start; at < end; {
		next := end
		if length := bytes.IndexByte(mail[at:end], '\n') + 1; length > 0 {
			next = at + length
		}
		line := strings.TrimRight(string(mail[at:next]), " \t\r\n")
		if line == "--"+boundary || line == "--"+boundary+"--" {
			if open >= 0 {
				// The line end in front of the boundary belongs to the boundary.
				found = append(found, [2]int{open, max(open, at-lineEnd(mail[open:at]))})
			}
			if open = next; strings.HasSuffix(line, boundary+"--") {
				return found
			}
		}
		at = next
	}
	if open >= 0 {
		found = append(found, [2]int{open, end})
	}
	return found
}

// lineEnd counts the octets of the line end that the text ends in.
func lineEnd(text []byte) int {
	switch {
	case bytes.HasSuffix(text, []byte("\r\n")):
		return 2
	case bytes.HasSuffix(text, []byte("\n")):
		return 1
	}
	return 0
}
