/**
  The module system of nixpkgs' lib, as far as this project's modules go: options that are declared once, and no priorities.

  # Inputs
  `lib`: what modules get under that name.

  # Output
  The functions, with the same meaning as in nixpkgs' lib.
*/
{ lib }:
let
  inherit (builtins)
    all
    attrNames
    catAttrs
    concatLists
    concatMap
    concatStringsSep
    head
    isAttrs
    isList
    listToAttrs
    mapAttrs
    ;

  isFunction =
    value: builtins.isFunction value || (value ? __functor && isFunction (value.__functor value));
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  isOf = type: value: value._type or null == type;

  # Every name of several sets, with what they have under it.
  zip =
    sets:
    listToAttrs (
      map (name: {
        inherit name;
        value = catAttrs name sets;
      }) (concatMap attrNames sets)
    );

  # A type checks a definition, and makes one value of all definitions.
  oneOf = name: check: {
    inherit name check;
    merge =
      loc: values:
      if all (value: value == head values) values then
        head values
      else
        throw "The option `${loc}' has conflicting definitions";
  };

  types = {
    bool = oneOf "boolean" builtins.isBool;
    package = oneOf "package" (value: value.type or null == "derivation");
    raw = {
      name = "raw value";
      check = _: true;
      merge =
        loc: values:
        if builtins.length values == 1 then
          head values
        else
          throw "The option `${loc}' is defined several times";
    };
    lines = {
      name = "strings concatenated with newlines";
      check = builtins.isString;
      merge = _: concatStringsSep "\n";
    };
    listOf = element: {
      name = "list of ${element.name}";
      check = isList;
      merge = loc: values: map (value: mergeChecked element loc [ value ]) (concatLists values);
    };
    attrsOf = element: {
      name = "attribute set of ${element.name}";
      check = isAttrs;
      merge = loc: values: mapAttrs (name: mergeChecked element "${loc}.${name}") (zip values);
    };
    functionTo = result: {
      name = "function to ${result.name}";
      check = isFunction;
      merge =
        loc: values: argument:
        mergeChecked result loc (map (value: value argument) values);
    };
    either = a: b: {
      name = "${a.name} or ${b.name}";
      check = value: a.check value || b.check value;
      merge = loc: values: (if all a.check values then a else b).merge loc values;
    };
  };

  mergeChecked =
    type: loc: values:
    if all type.check values then
      type.merge loc values
    else
      throw "A definition for option `${loc}' is not of type `${type.name}'";

  # A condition may ask for the option's very neighbours, so it goes down to each attribute and is asked there.
  pushDown =
    config:
    if isOf "if" config then
      map (mapAttrs (_: mkIf config.condition)) (pushDown config.content)
    else
      [ config ];
  discharge =
    value:
    if !(isOf "if" value) then
      [ value ]
    else if value.condition then
      discharge value.content
    else
      [ ];

  valueOf =
    loc: option: definitions:
    let
      values = concatMap discharge definitions;
    in
    if values != [ ] then
      mergeChecked option.type loc values
    else
      mergeChecked option.type loc [
        option.default or (throw "The option `${loc}' is used but not defined")
      ];

  # The values of all options below a place, from sets of options and of definitions there.
  evaluate =
    loc: options: configs:
    let
      declared = zip options;
      defined = zip (concatMap pushDown configs);
      unknown = attrNames (removeAttrs defined (attrNames declared));
      value =
        name: declarations:
        let
          definitions = defined.${name} or [ ];
          place = if loc == "" then name else "${loc}.${name}";
        in
        if !(isOf "option" (head declarations)) then
          evaluate place declarations definitions
        else if builtins.length declarations == 1 then
          valueOf place (head declarations) definitions
        else
          throw "The option `${place}' is already declared";
    in
    if unknown == [ ] then
      mapAttrs value declared
    else
      throw "The option `${loc}.${head unknown}' does not exist";
in
{
  inherit isFunction mkIf types;

  mkOption = option: option // { _type = "option"; };

  mkEnableOption = name: {
    _type = "option";
    type = types.bool;
    default = false;
    description = "Whether to enable ${name}.";
  };

  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };

  evalModules =
    {
      modules,
      specialArgs ? { },
    }:
    let
      prepare =
        place: number:
        let
          given = builtins.elemAt place.modules number;
          module = if isFunction given then given arguments else given;
        in
        {
          # One of the same key counts once.
          key = module.key or "${place.key}/${toString number}";
          modules = module.imports or [ ];
          options = module.options or { };
          config =
            if module ? config || module ? options then
              module.config or { }
            else
              removeAttrs module [
                "imports"
                "key"
              ];
        };
      prepareAll = place: builtins.genList (prepare place) (builtins.length place.modules);
      all = builtins.genericClosure {
        startSet = prepareAll {
          key = "";
          inherit modules;
        };
        operator = prepareAll;
      };
      config = evaluate "" (catAttrs "options" all) (catAttrs "config" all);
      arguments = specialArgs // {
        inherit config lib;
      };
    in
    {
      inherit config;
    };
}
