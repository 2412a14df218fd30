package main

import (
	"github.com/spf13/cobra"

	"github.com/sandgate/sandgate/gateway/catalog"
	"github.com/sandgate/sandgate/gateway/catalog/openapi"
)

// openAPICommand is `sandgate openapi`.
func (a *app) openAPICommand() *cobra.Command {
	return &cobra.Command{
		Use:     "openapi",
		Short:   "Print the API as an OpenAPI document",
		GroupID: groupUse,
		Args:    noArguments,
		Long: `Prints the OpenAPI 3.1 document of the API, the same that a gateway of this version
serves at /openapi.json. It has every RPC with one request and one reply; those that
stream messages are beyond OpenAPI, and are named in it.`,
		Example: `  sandgate openapi > openapi.json
  sandgate openapi | jq '.paths | keys'`,
		RunE: func(*cobra.Command, []string) error {
			c, err := catalog.New()
			if err != nil {
				return err
			}
			text, err := openapi.Document(c)
			if err != nil {
				return err
			}
			_, err = a.out.Write(text)
			return err
		},
	}
}
