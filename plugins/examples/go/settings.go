package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Settings is what [filter.config] holds.
type Settings struct {
	// Mail from these domains gets no banner.
	OwnDomains []string `json:"own_domains"`
	// The line to put in front: printable ASCII, which is right in nearly every charset.
	Banner string `json:"banner"`
}

// readSettings reads POPGATE_SETTINGS: JSON, percent-encoded like all variables.
func readSettings() (*Settings, error) {
	text, err := unescape(os.Getenv("POPGATE_SETTINGS"))
	if err != nil {
		return nil, err
	}
	settings := Settings{Banner: "This mail comes from outside."}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&settings); err != nil {
		return nil, err
	}
	if len(settings.OwnDomains) == 0 {
		return nil, errors.New("`own_domains`: name one domain at least")
	}
	for index, domain := range settings.OwnDomains {
		if domain == "" || strings.Contains(domain, "@") {
			return nil, fmt.Errorf("`own_domains[%d]`: `%s` is no domain", index, domain)
		}
	}
	unfit := func(r rune) bool { return r < ' ' || r > '~' }
	if settings.Banner == "" || len(settings.Banner) > 500 || strings.ContainsFunc(settings.Banner, unfit) {
		return nil, errors.New("`banner`: 1 to 500 printable ASCII characters were expected")
	}
	return &settings, nil
}

// unescape undoes percent-encoding. The package net/url can do it, too, but sets up what it knows of networks at each start.
func unescape(text string) (string, error) {
	first, rest, found := strings.Cut(text, "%")
	plain := []byte(first)
	for found {
		if len(rest) < 2 {
			return "", errors.New("a `%` without two digits")
		}
		octet, err := strconv.ParseUint(rest[:2], 16, 8)
		if err != nil {
			return "", err
		}
		first, rest, found = strings.Cut(rest[2:], "%")
		plain = append(append(plain, byte(octet)), first...)
	}
	return string(plain), nil
}
