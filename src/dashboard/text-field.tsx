/** Fields for the app's own words, which the browser neither corrects nor completes. */

interface TextFieldProps {
  readonly label: string;
  readonly value: string;
  readonly placeholder: string;
  readonly change: (value: string) => void;
  readonly id?: string;
}

interface Rules {
  readonly required?: boolean;
  readonly pattern?: string;
  readonly title?: string;
}

export const TextField = ({ label, change, ...input }: TextFieldProps & Rules) => (
  <label class="field">
    {label}
    <input
      type="text"
      {...input}
      onInput={(event) => change(event.currentTarget.value)}
      autocomplete="off"
      autocapitalize="off"
      spellcheck={false}
    />
  </label>
);

/** The name of a savepoint or a timeline. */
export const NameField = (props: TextFieldProps) => (
  <TextField {...props} required pattern="[a-z][a-z0-9\-]{0,62}" title="a-z, 0-9 and '-', beginning with a letter" />
);
