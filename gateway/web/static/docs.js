"use strict";
// Swagger UI is dark where its page has the class: by the theme that was chosen, else the system's.
{
  const system = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    const chosen = document.documentElement.dataset.theme;
    document.documentElement.classList.toggle("dark-mode", chosen ? chosen === "dark" : system.matches);
  };
  follow();
  system.addEventListener("change", follow);
}
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger", deepLinking: true, defaultModelsExpandDepth: 0 });
