// Puts a line in front of mail that comes from outside, in its first plain text and its first HTML text.
package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"mime/quotedprintable"
	"os"
	"slices"
	"strings"
)

// The exit status that asks for another try: the mail is not to blame for settings that are wrong.
const later = 75

func main() {
	settings, err := readSettings()
	if err != nil {
		fmt.Fprintln(os.Stderr, "settings:", err)
		os.Exit(later)
	}
	message, err := readAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	body, _ := split(message, 0, len(message))
	if settings.isOwn(fields(message[:body], "From")) {
		return // Nothing written: the message stays as it is.
	}
	if marked := settings.mark(message); marked != nil {
		os.Stdout.Write(marked)
	}
}

// readAll reads to the end. Most mail fits into what is there at once, and is not copied while a buffer grows.
func readAll(input io.Reader) ([]byte, error) {
	start := make([]byte, 64<<10)
	switch length, err := io.ReadFull(input, start); err {
	case io.EOF, io.ErrUnexpectedEOF:
		return start[:length], nil
	case nil:
		return io.ReadAll(io.MultiReader(bytes.NewReader(start), input))
	default:
		return nil, err
	}
}

// isOwn says whether all that looks like an address in From is of the own domains, names included: mail that pretends is not
// own. It believes what the mail says; a check of forgeries is another's.
func (settings *Settings) isOwn(from []string) bool {
	words := strings.FieldsFunc(strings.Join(from, " "), func(r rune) bool { return strings.ContainsRune(" \t,;:<>()\"", r) })
	own := false
	for _, word := range words {
		at := strings.LastIndexByte(word, '@')
		if at < 0 {
			continue
		}
		isDomain := func(domain string) bool { return strings.EqualFold(domain, word[at+1:]) }
		if own = slices.ContainsFunc(settings.OwnDomains, isDomain); !own {
			return false
		}
	}
	return own
}

// mark makes the message with the banner; nil if there is no place for it.
func (settings *Settings) mark(message []byte) []byte {
	var marked []byte
	done := map[string]bool{}
	copied := 0
	for _, part := range texts(message, 0, len(message), 0) {
		if done[part.mediaType] || strings.HasPrefix(part.charset, "utf-16") || strings.HasPrefix(part.charset, "utf-32") {
			continue
		}
		content, err := decode(message[part.start:part.end], part.encoding)
		if err != nil {
			fmt.Fprintf(os.Stderr, "a part is left alone: %v\n", err)
			continue
		}
		done[part.mediaType] = true
		marked = append(marked, message[copied:part.start]...)
		marked = append(marked, encode(settings.put(content, part.mediaType), part.encoding)...)
		// Base64 has no line end of its own.
		copied = part.end
		if part.encoding == "base64" {
			copied -= lineEnd(message[:part.end])
		}
	}
	if marked == nil {
		return nil
	}
	return append(marked, message[copied:]...)
}

// put puts the banner where a reader sees it first.
func (settings *Settings) put(content []byte, mediaType string) []byte {
	if mediaType == "text/plain" {
		return slices.Concat([]byte(settings.Banner+"\r\n\r\n"), content)
	}
	at := behindBodyTag(content)
	line := "<p><strong>" + html.EscapeString(settings.Banner) + "</strong></p>\r\n"
	return slices.Concat(content[:at], []byte(line), content[at:])
}

// behindBodyTag finds where the text of a page begins: at 0 if it has no tag that says so.
func behindBodyTag(content []byte) int {
	tag := []byte("<body")
	for at := 0; at+len(tag) <= len(content); at++ {
		if bytes.EqualFold(content[at:at+len(tag)], tag) {
			if end := bytes.IndexByte(content[at:], '>'); end > 0 {
				return at + end + 1
			}
		}
	}
	return 0
}

func decode(content []byte, encoding string) ([]byte, error) {
	switch encoding {
	case "base64":
		return io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(content)))
	case "quoted-printable":
		return io.ReadAll(quotedprintable.NewReader(bytes.NewReader(content)))
	case "", "7bit", "8bit", "binary":
		return content, nil
	}
	return nil, fmt.Errorf("its encoding is `%.20s`", encoding)
}

func encode(content []byte, encoding string) []byte {
	var encoded bytes.Buffer
	switch encoding {
	case "base64":
		text := base64.StdEncoding.AppendEncode(nil, content)
		encoded.Write(bytes.Join(slices.Collect(slices.Chunk(text, 76)), []byte("\r\n")))
	case "quoted-printable":
		writer := quotedprintable.NewWriter(&encoded)
		writer.Write(content)
		writer.Close()
	default:
		return content
	}
	return encoded.Bytes()
}
